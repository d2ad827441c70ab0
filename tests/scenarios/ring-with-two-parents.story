# Any path counts: with one of two parents gone the child is fine; with both gone it is unreachable and on both tickets.
device core
device left on core
device right on core
device ap on left on right
0:31 break left
1:10 state left down
1:10 state ap up
1:20 ticket left open P4      # there is another way to all that hangs on it
1:30 break right
2:20 state ap unreachable
2:30 ticket right open affects ap
2:30 ticket left open affects ap
2:30 no-ticket ap
3:00 mend left
3:20 state ap up
3:20 ticket left recovered
3:20 ticket right open
3:40 mend right
10:00 unfinished 0
10:00 tickets 2
