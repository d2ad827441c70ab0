# Worked on, down, and back before it ends: nobody is told, but the outage is known.
person ana
device ap
0:30 maintain ap 5:00
0:31 break ap
1:30 state ap down
2:00 mend ap
2:30 state ap up
6:00 tickets 0
6:00 outage ap 0:41 2:03
6:00 told-nothing
