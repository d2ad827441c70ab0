# In the night in which clocks are put back the hour that comes twice has no twin: one outage of its true length, one
# ticket, and people are told once.
start 2026-10-24T23:58:00Z
site south Europe/Berlin
person ana
device ap at south
2:31 break ap
3:20 ticket ap open P3
3:20 told ana broke
62:00 mend ap
62:30 outage ap 2:41 62:03
62:30 ticket ap recovered
70:00 tickets 1
70:00 unfinished 0
70:00 told ana mended
70:00 told-nothing
