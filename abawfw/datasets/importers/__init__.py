"""From the files of a published data set to a feature store."""
