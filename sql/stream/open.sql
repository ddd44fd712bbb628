-- Opens a stream: $1 text owner, $2 text stream_id, $3 text target. A new epoch shuts out whoever wrote it before; a
-- transaction of theirs that is under way holds the row, so this waits for its end and then tells the truth.
-- Result: one row, the stream as it is now.
insert into pgflight.stream as s (owner, stream_id, target)
values ($1, $2, $3)
on conflict (owner, stream_id) do update
    set epoch = case s.status when 'open' then s.epoch + 1 else s.epoch end,
        updated_at = pg_catalog.now()
returning target, epoch, next_seq, token, rows, last_hash, result::text as result,
    pg_catalog.current_setting('synchronous_commit') <> 'off' as durable
