# What is worked on is watched, not alarmed; nor is what hangs on it. What is still out when it ends counts: then there
# is a ticket, dated from its true start.
person ana
device tower
device ap on tower
0:30 maintain tower 4:00
0:31 break tower
1:30 state tower down
1:30 state ap unreachable
3:50 tickets 0
3:50 told-nothing
4:10 ticket tower open affects ap
4:10 outage tower 0:32
4:10 told ana broke P2 tower is down
4:10 event maintenance.overrun 1
4:30 mend tower
5:00 states * up
11:00 unfinished 0
11:00 told ana mended
11:00 told-nothing
