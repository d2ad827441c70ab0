# In the night in which clocks are put forward nothing is skipped.
start 2026-03-29T00:58:00Z
site south Europe/Berlin
device ap at south
device gw at south agent
0:30 states * up
1:55 break ap
2:50 ticket ap open P3
3:00 mend ap
3:20 outage ap 2:01 3:03
3:20 state gw up
10:00 tickets 1
10:00 unfinished 0
