"""`python -m cnnaudit`."""

from cnnaudit.cli import main

main()
