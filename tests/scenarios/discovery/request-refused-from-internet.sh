# A person asks from somewhere on the internet, as the proxy before the API server says, for what they may not see.
#
# also: request-refused: it reports every refusal

fails api /api/v1/nodes --header "X-Forwarded-For: 198.41.0.4" --user-agent client/1.0
