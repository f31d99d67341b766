"""A stand-in for the remote render backend: it speaks the same calls over real HTTP, and really renders.

A tool for trying, developing and testing, and it says so in its pictures' corner. It shares no code with the service,
so it cannot share the service's mistakes. It is strict: headers, tokens, bodies, file formats (by content), sizes and
drafts (by the digits of their numbers, unknown keys included) are checked, and what a client does wrong without being
refused is counted as a violation.

    python -m deploy.sandbox --data DIR [--host 127.0.0.1] [--port 8100] [--no-draw] [--stream-seconds S]
        [--export-seconds S] [--seed-credits N] [--render-slots N] [--min-poll-seconds S] [--max-upload-bytes N]
        [--set NAME=VALUE ...]

All state is in DIR; a killed sandbox goes on where it was, with its rules. Running turns are refunded then, running
exports begin again. Settings are not kept: the command line is their truth. `--no-draw` serves small plain clips of
the right length and shape instead of composited ones.

Accounts. An anonymous token belongs to its client id: the same id gets a new token for the same user and balance.
Every `nmv_sandbox_…` token is a registered account from its first use. A generation costs 100 credits, an edit 50;
they are frozen while the turn runs, charged when it is applied, refunded when it is not. The live trial has 100
credits, a sandbox account 1,000,000.

Prompts. The length (1 to 60 s, usually 10), the shape (16:9, square, …; usually 1080x1920), a title, captions and a
mood are read from the words, English or Chinese. The same prompts and files make the same draft, byte for byte.

Control, below `/_sandbox/`, without a token and for this machine only:

    GET  ledger, ledger/summary   what happened, in full or in numbers
    POST rules                    {"do": NAME, "on": POINT, "match": WORDS, "times": 1, ...parameters}, or a list
    GET, DELETE rules             those that still wait
    GET, POST settings            see below
    POST reset                    forget everything
    POST expire-tokens            anonymous ones; {"registered": true} for all
    POST forget-sessions          each is 1002 from then on

A rule works `times` times where `match` is in the message (at later points: in what was said in the session). The same
can be written into a prompt, for that session only: `[[sandbox: NAME key=value]]`, several of them if need be.

Anywhere (points: message, token, session, upload, state, export, poll, download, fallback, credits, claim, cancel):
    http_status, code, rate_limited, expire, lost, no_credits, no_subscription, delay, drop
On a message:
    silent_edit, two_step, cut_after, cut_before, cut_then_apply, truncate_clean, error_frame, error_frame_applied,
    error_v1, noise, gui_talk, question, not_ready, slow, hang, unicode, crlf, cr, bom, multi_data, split_bytes, nul,
    no_partials, typed, adk, cancel_on_disconnect, stream
On an upload:
    upload_answer_lost
On an export and its polls:
    export_fails, export_stuck, export_refuse_id, export_answer_lost, export_slow, poll_5xx, poll_html
On the signed address and on the fallback:
    download_truncated, download_short, download_not_video, download_404, download_403, download_5xx,
    fallback_truncated, fallback_short, fallback_not_video, fallback_404, fallback_403, fallback_5xx
`behaviours.py` says what each does and which parameters it takes.

Settings (`settings.py` has their defaults): stream_seconds, heartbeat_seconds, export_seconds, two_stage_seconds,
    seed_credits, generation_price, edit_price, min_poll_seconds, max_upload_bytes, token_seconds, link_seconds,
    anonymous_limit, dialect (adk, typed), envelope (code, success, bare), poll_shape (flat, data),
    error_status (ok, http), empty_draft (null, object), on_disconnect (continue, cancel)

Violations: missing_attribution, authorization_on_token_call, concurrent_turn, draft_altered, render_id_used_twice,
    poll_too_soon, headers_on_download, no_such_call

Codes of its own, beside the contract's: 4003 draft altered, 4004 nothing to render, 4005 address cannot be fetched,
4040 unknown render, 4090 render id used before, 409 a turn is already running in the session.
"""
