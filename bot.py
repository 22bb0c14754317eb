"""Atelier from a source tree: `python bot.py COMMAND`, the same commands as the installed `atelier`.

Nothing imports this. The commands are in `cli/app.py`; the rooms are joined in `cli/serve.py`.
"""

from cli.app import run

if __name__ == "__main__":
    run()
