from magdr_core.cli import main

main()
