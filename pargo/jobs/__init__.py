"""Heavy stages as jobs that outlive the process that started them."""
