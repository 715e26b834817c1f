"""The names of models and countries that requests may use.

Source: the OpenAPI specifications of v2 and v3 of 2026-08-06; for v4 the official Python SDK 3.12.1. Such lists
become outdated: the service may accept newer names, which the emulator refuses.
"""

# ruff: noqa: SIM905 (three hundred quotes and commas would hide the names)

from __future__ import annotations

V2_LLMS = """
browser-use-llm browser-use-2.0 gpt-4.1 gpt-4.1-mini o4-mini o3 gpt-5.5 gpt-5.6-sol gpt-5.6-terra gpt-5.6-luna
gemini-2.5-flash gemini-2.5-pro gemini-3-pro-preview gemini-3.1-pro-preview gemini-3-flash-preview
gemini-3.5-flash gemini-flash-latest gemini-flash-lite-latest claude-sonnet-4-20250514
claude-sonnet-4-5-20250929 claude-sonnet-5 claude-opus-4-5-20251101 claude-opus-4-7 claude-opus-4-8
claude-opus-5 glm-5.2 minimax-m3 llama-4-maverick-17b-128e-instruct claude-3-7-sonnet-20250219
""".split()
"""Values of v2's `llm`."""

V3_MODELS = """
bu-mini bu-max bu-ultra gemini-3-flash claude-sonnet-4.6 claude-opus-4.6 claude-opus-4.7 claude-sonnet-5
claude-opus-4.8 gpt-5.4-mini glm-5.2 minimax-m3 claude-haiku-4.5 gpt-5.2 gpt-5-mini gpt-5.5 gpt-5.6-sol
gpt-5.6-terra gpt-5.6-luna gemini-3-pro gemini-3.1-pro gemini-3.5-flash
""".split()
"""Values of v3's `model`."""

FIRST_V3_MODELS = V3_MODELS[:2]
"""Those of its first specification, of 2026-02-25."""

V4_MODELS = """
mimo-v2.6-pro mimo-v2.6-flash deepseek-v4.1-flash glm-5.2 grok-4.5 grok-4.6 glm-5.3-flash
deepseek-v4-flash-vision kimi-k3 minimax-m3 claude-opus-4.7 claude-opus-4.8 claude-opus-5 claude-opus-5-5
claude-fable-5 claude-sonnet-5 claude-sonnet-5-5 gpt-5.5 gpt-5.6 gpt-6-astra gpt-6-sol gpt-6.1-sol gpt-6-luna
gpt-5.6-sol gpt-5.6-terra gpt-5.6-luna gemini-3.6-flash gemini-3.5-flash gemini-3.1-pro gemini-3-flash
bu-ultrafast bu-fast
""".split()
"""Values of v4's `model`."""

COUNTRIES = """
ad ae af ag ai al am an ao aq ar as at au aw az ba bb bd be bf bg bh bi bj bl bm bn bo bq br bs bt bv bw by bz
ca cc cd cf cg ch ck cl cm co cr cs cu cv cw cx cy cz de dj dk dm do dz ec ee eg eh er es et fi fj fk fm fo fr
ga gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in iq ir is it je jm jo jp
ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mf mg mh mk ml mm mn mo mp mq mr
ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re
ro rs ru rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st sv sx sy sz tc td tf tg th tj tk tl tm tn to tr
tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws xk ye yt za zm zw
""".split()
"""Countries of proxies in v2 and v3; v4 also has `ci`."""
