"""Addresses that customers give: their form, where they may lead, and the guarded way to fetch them.

`form.checked_form` is for an address that is only handed on, `form.checked_target` for one that this service will
fetch, `fetch.Guarded` fetches it. Whatever a customer names goes through here; the backend's own addresses do not.
"""
