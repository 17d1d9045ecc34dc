"""How the commands' results look to a person, one file a thing that is printed."""
