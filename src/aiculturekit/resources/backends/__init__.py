"""One module for each server that is played here. They are strangers to each other."""
