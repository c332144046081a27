{% macro share(part, whole) -%}
    {{ part }}::numeric / nullif({{ whole }}, 0)
{%- endmacro %}
