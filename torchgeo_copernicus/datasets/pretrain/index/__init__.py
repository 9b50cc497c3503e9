"""Tables of all images of a copy, with statistics of each."""
