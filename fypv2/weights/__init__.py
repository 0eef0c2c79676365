"""Starting weights: published files by whatever names their keys have, put together into a checkpoint of the model."""
