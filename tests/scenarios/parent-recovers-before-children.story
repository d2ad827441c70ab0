# The parent is back before its children are tried: none of them gets a ticket before it was tried itself.
device tower
device ap-{1..5} on tower
0:31 break tower
1:30 ticket tower open affects 5
2:00 break ap-1
2:00 mend tower
2:12 no-ticket ap-1 ap-2 ap-3 ap-4 ap-5
2:40 state ap-2 up
2:40 state ap-1 down
3:05 ticket ap-1 open
3:05 outage ap-1 0:32         # it never answered since
3:05 tickets 2
3:10 mend ap-1
10:00 unfinished 0
