"""Atelier from a source tree: `python bot.py COMMAND`, the same commands as the installed `atelier`.

Nothing imports this. `cli/entry.py` begins them, `cli/app.py` lists them, and `cli/serve.py` joins the rooms.
"""

from cli.entry import run

if __name__ == "__main__":
    run()
