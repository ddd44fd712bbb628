-- Forgets a session that commits under another name from now on: $1 uuid session.
delete from pgflight.last_commit where session = $1
