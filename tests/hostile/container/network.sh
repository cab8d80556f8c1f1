# Names, addresses, and what a cloud tells machines about themselves.
# expect: scored
# prints: lo
# prints: none answers
ls /sys/class/net
answers() { "$@" > /dev/null 2>&1 && echo "$* answers"; }
answers nslookup example.org
answers timeout 1 wget -q -O - http://169.254.169.254/latest/meta-data/
answers timeout 1 nc -w 1 172.17.0.1 22
answers timeout 1 nc -w 1 1.1.1.1 53
answers ping -c 1 -W 1 1.1.1.1
echo none answers
cp /app/input_data/rows.csv /app/output/predictions.csv
