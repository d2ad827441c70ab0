# A child has a ticket of its own when its parent dies as well: it goes into the parent's, and is on its own again when
# the parent is back and the child still is not.
person ana
device tower
device ap-1 on tower
device ap-2 on tower
0:31 break ap-1
1:10 state ap-1 down
1:20 ticket ap-1 open P3
1:20 told ana broke P3 ap-1 is down
1:30 break tower
2:20 states ap-* unreachable
2:20 ticket tower open P2 affects ap-1,ap-2
2:20 ticket ap-1 merged into tower
2:20 no-ticket ap-2
3:00 mend tower
3:40 state ap-2 up
3:40 state ap-1 down
4:05 ticket tower recovered
4:05 ticket ap-1 open P3
4:05 outage ap-1 0:32
5:00 mend ap-1
5:20 ticket ap-1 recovered P5
5:20 outage ap-1 0:32 5:08
11:00 unfinished 0
11:00 told ana broke 1 broke, 1 mended: P2 tower is down
11:00 told ana mended
11:00 told ana broke P3 ap-1 is down
11:00 told ana mended
11:00 tickets 2
