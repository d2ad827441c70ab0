# A tower dies, and what hangs on it with it: one ticket, for the tower.
person ana
device tower
device ap-1 on tower
device ap-2 on tower
0:30 states * up
0:31 break tower
1:10 state tower down
1:10 states ap-* unreachable
1:30 ticket tower open P2 affects ap-1,ap-2
1:30 no-ticket ap-1 ap-2
1:30 told ana broke P2 tower is down
1:30 told-nothing
2:00 mend tower
2:20 states * up
2:20 ticket tower recovered P5 affects ap-1,ap-2
2:20 outage tower 0:32 2:04
8:00 ticket tower resolved
8:00 tickets 1
8:00 told ana mended
8:00 told-nothing
8:00 unfinished 0
