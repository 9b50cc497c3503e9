"""Files read by position, on disks and behind addresses, whatever they hold."""
