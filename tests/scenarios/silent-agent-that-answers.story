# Its agent is silent but ping answers: agent trouble, no outage.
device gw agent
device ap agent
0:30 states * up
0:33 mute gw
1:20 state gw degraded
1:20 state ap up
2:00 no-ticket gw
2:00 unmute gw
2:30 state gw up
2:30 event outage.began 0
