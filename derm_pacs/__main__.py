"""`python -m derm_pacs` is the command `derm-pacs`."""

from derm_pacs.cli.main import main

if __name__ == "__main__":
    main()
