"""The parameters of requests that are known by name, by which a rule for a model is told from one for a parameter."""

HOLD_OBJECTS = """
    response_format stream_options metadata logit_bias reasoning text audio prediction tool_choice web_search_options
    thinking output_config extra_body extra_headers options provider plugins usage prompt moderation
    context_management chat_template_kwargs mm_processor_kwargs structured_outputs guided_json json_schema
    generation_config safety_settings cache_control mcp_servers container function_call truncation conversation preset
    transforms user_location format client_metadata include
"""
HOLD_VALUES = """
    model temperature top_p top_k top_a min_p typical_p max_tokens max_completion_tokens max_output_tokens n stop
    stop_sequences seed stream presence_penalty frequency_penalty repetition_penalty repeat_penalty logprobs
    top_logprobs user store service_tier reasoning_effort verbosity parallel_tool_calls tools functions modalities
    prompt_cache_key prompt_cache_retention safety_identifier best_of echo suffix dimensions encoding_format
    max_tool_calls background instructions previous_response_id include_reasoning num_ctx num_predict keep_alive
    think grammar ignore_eos min_tokens mirostat system betas speed enable_thinking thinking_budget
"""
OBJECT_PARAMETERS = frozenset(HOLD_OBJECTS.split())
PARAMETERS = OBJECT_PARAMETERS.union(HOLD_VALUES.split())
