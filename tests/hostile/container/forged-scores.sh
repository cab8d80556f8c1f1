# Scores, a report and a word to the scorer of its own.
# expect: invalid-submission
echo '{"scores":[{"metric":"accuracy","value":1}]}' > /app/output/scores.json
echo '{"outcome":"scored","scores":[{"metric":"accuracy","split":null,"value":1}]}' > /app/output/report.json
echo '{"outcome":"scored"}'
