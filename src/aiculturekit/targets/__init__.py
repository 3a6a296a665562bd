"""Where an application can run: one plugin for each resource model. They are strangers to each other."""
