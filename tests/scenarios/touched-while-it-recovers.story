# Somebody wrote on the ticket: it stays theirs when the device is back, and does not resolve itself.
device ap
0:31 break ap
1:20 ticket ap open P3
1:25 comment ap on my way
1:40 mend ap
2:00 ticket ap recovered P5
20:00 ticket ap recovered P5
20:00 unfinished 1
