# The anchors say that the server is cut off, also where there are too few sites to tell.
device gateway
device upstream
device ap-1
device ap-2
set blind.anchors gateway,upstream
0:33 break line
1:30 states ap-* unknown
1:30 event monitor.blind 1
1:30 unfinished 0
2:00 mend line
2:40 states * up
2:40 event monitor.sighted 1
3:00 break ap-1
3:40 state ap-1 down          # the anchors answer: it is its own fault
4:00 ticket ap-1 open P3
4:00 tickets 1
4:10 mend ap-1
10:00 unfinished 0
