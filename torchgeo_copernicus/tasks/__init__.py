"""Lightning modules and callbacks for what the hosts' tasks cannot do."""
