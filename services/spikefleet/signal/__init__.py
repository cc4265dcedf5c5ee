"""Everything that touches samples: readers, archive, measuring, preparing, sorters."""
