"""The words of the OCI specifications as values: text and bytes in, frozen types out, no I/O."""
