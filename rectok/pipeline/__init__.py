"""All that knows DVC: its graph, lock and status, child processes, code versions, and several stages at once."""
