{#
  Conditions that every row keeps, all judged in one pass over the rows; NULL counts as kept, as in
  a check constraint. Fails with the number of rows that break one; the rows of the answer say which
  condition and how often.
#}
{% test holds(model, expressions) %}
{{ config(fail_calc='coalesce(sum(broken_rows), 0)') }}
{{ broken_expressions(model, expressions) }}
{% endtest %}
