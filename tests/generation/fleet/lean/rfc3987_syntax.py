"""In the place of a package of the development tools: with it each of Ray's processes compiles grammars for a second,
which nothing there uses. jsonschema does without."""

raise ImportError("left out")
