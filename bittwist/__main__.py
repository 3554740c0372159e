"""`python -m bittwist` is the `bittwist` command."""

from bittwist.app.cli import main

if __name__ == "__main__":
    main()
