"""Run folders on disk, and the atomic file writer that the cache uses as well."""
