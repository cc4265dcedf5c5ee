"""What watches a sort: each guard reads one signal, and may say that the sort must end."""
