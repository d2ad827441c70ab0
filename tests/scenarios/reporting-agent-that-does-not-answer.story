# Ping is blocked but its agent reports: an inbound filter, no outage.
device gw agent
0:33 block gw
1:20 state gw degraded
2:00 no-ticket gw
2:00 event outage.began 0
2:00 unblock gw
2:40 state gw up
