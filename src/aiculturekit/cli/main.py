"""`aic`: the entry. One place where errors become words and exit codes: 0 done, 1 failed, 2 usage, 3 refused by policy."""

from __future__ import annotations

import json
import os
import sys
import traceback

from aiculturekit import errors, language


def main() -> int:
    """Run the command line; answers the exit code."""
    language.use(language.detect(os.environ))
    from aiculturekit.cli import commands, outputs

    try:
        code = commands.application()(prog_name="aic", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except errors.AicError as error:
        if "--json" in sys.argv:
            print(json.dumps({"error": error.as_dict()}, ensure_ascii=False), file=sys.stderr)
        else:
            outputs.print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _ended(error)


def _ended(error: Exception) -> int:
    """What typer itself raises (usage, abort, exit), or a bug of ours: one line, and where the rest is."""
    if hasattr(error, "exit_code"):
        if hasattr(error, "show"):
            error.show()
        return int(error.exit_code)
    if type(error).__name__ == "Abort":
        return 130
    from aiculturekit.cli import clients

    place = clients.home() / "crash.log"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(traceback.format_exc())
    except OSError:
        traceback.print_exc()
    told = language.say("this is a bug in aic: {error}", error=f"{type(error).__name__}: {error}")
    print(f"error: {told}\n    {language.say('the details are in {file}', file=place)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
