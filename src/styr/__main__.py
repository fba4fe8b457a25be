"""`python -m styr` is `styr`."""

from styr.cli.main import main

if __name__ == "__main__":
    main()
