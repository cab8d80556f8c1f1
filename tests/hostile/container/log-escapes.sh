# Escape sequences, NUL and bytes that are no UTF-8, printed.
# expect: scored
printf '\033]0;title\007\033[2J\033[31m\377\000x'
cp /app/input_data/rows.csv /app/output/predictions.csv
