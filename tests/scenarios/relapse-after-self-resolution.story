# Within a day of having resolved itself the same ticket is reopened.
device ap
0:31 break ap
1:20 ticket ap open P3
1:40 mend ap
2:00 ticket ap recovered P5
7:30 ticket ap resolved
8:00 break ap
8:50 ticket ap open P3 recurred 1
9:00 mend ap
9:20 break ap
10:10 ticket ap open recurred 2
10:20 mend ap
16:00 ticket ap resolved
16:00 tickets 1
