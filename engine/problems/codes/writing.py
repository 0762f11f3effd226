"""Codes of what is wrong with a file as YAML, before anything it says is looked at."""

from __future__ import annotations

from engine.problems.declared import Code

CODES = (
    Code(
        "yaml-syntax",
        "error",
        "The file is not YAML",
        "Nothing in the file can be read until this is mended. The place is where reading stopped; the cause is often in the line "
        "before: a quote or bracket that is not closed, or an entry that is not indented like its neighbours.",
        """
        when: [rma.status == "done"
        """,
        """
        when: [rma.status == "done"]
        """,
    ),
    Code(
        "yaml-tab",
        "error",
        "A tab where spaces belong",
        "YAML is indented with spaces. A tab looks like some of them and is none.",
        "rules:\n\texample: {}\n",
        "rules: {}\n",
    ),
    Code(
        "yaml-key",
        "error",
        "A key that is not text",
        "Keys are names. A number, true, null or a list as a key has to be quoted if it really is the name.",
        """
        # rules/clients/acme/client.yaml
        client: acme
        codes:
          marketplace.refund.reason: {17: "18"}
        """,
        """
        # rules/clients/acme/client.yaml
        client: acme
        codes:
          marketplace.refund.reason: {"17": "18"}
        """,
    ),
    Code(
        "yaml-merge",
        "error",
        "A merge key",
        "What `<<:` brings in is not seen where it is read, so it is not used here. Write the keys out, or change a rule of a pack "
        "by its id.",
        """
        <<: {owner: operations}
        """,
        """
        owner: operations
        """,
    ),
    Code(
        "yaml-anchor",
        "error",
        "An anchor",
        "Anchors and aliases make one place in a file mean another, and a change to the one surprises at the other. Write the value "
        "out, give the expression a name under `facts:`, or make it a parameter.",
        """
        title: &done The return is done
        """,
        """
        title: The return is done
        """,
    ),
    Code(
        "yaml-alias",
        "error",
        "An alias",
        "Anchors and aliases make one place in a file mean another, and a change to the one surprises at the other. Write the value "
        "out, give the expression a name under `facts:`, or make it a parameter.",
        """
        title: *done
        """,
        """
        title: The return is done
        """,
    ),
    Code(
        "yaml-tag",
        "error",
        "A tag",
        "What type a value has follows from the field it stands in, so tags such as !!str have no use here. Text that looks like a "
        "number is quoted.",
        """
        title: !!str 2026
        """,
        """
        title: "2026"
        """,
    ),
    Code(
        "yaml-documents",
        "error",
        "A second document",
        "One file holds one document. What stands after `---` would not be read: join the two, or make two files.",
        """
        # rules/base/example.yaml
        params: {}
        ---
        facts: {}
        """,
        """
        # rules/base/example.yaml
        params: {}
        facts: {}
        """,
    ),
    Code(
        "yaml-depth",
        "error",
        "Nested too deeply",
        "Nothing in the language needs forty levels; a bracket is probably not closed.",
        "# rules/base/example.yaml\nfacts: " + "[" * 50 + "]" * 50,
        "# rules/base/example.yaml\nfacts: {}",
    ),
    Code(
        "yaml-character",
        "error",
        "A character YAML does not allow",
        "Control characters are not allowed in YAML and come from copying out of another program. Delete it; it may be invisible.",
        "title: Done\x07\n",
        "title: Done\n",
    ),
    Code(
        "not-utf8",
        "error",
        "The file is not UTF-8",
        "Files are read as UTF-8. Save it anew with that encoding: every editor offers it beside the line endings.",
        'title: "Fertig: \udcfc"\n',
        'title: "Fertig: ü"\n',
    ),
    Code(
        "too-large",
        "error",
        "The file is too large",
        "A rule file has some thousand characters. A file of millions is something else, such as an export saved under the wrong name.",
        "# rules/base/example.yaml\n" + "#" * 2_000_001,
        "# rules/base/example.yaml\nfacts: {}",
    ),
    Code(
        "unreadable-file",
        "error",
        "The file cannot be read",
        "The operating system does not let instep open the file, or it is not there: its permissions, or a link that leads nowhere.",
        "# mappings/facts.yaml is not there",
        "# mappings/facts.yaml is there and may be read",
    ),
    Code(
        "not-read",
        "error",
        "A file that would be passed over",
        "Rules are read from *.yaml files directly in a pack's or a client's folder. A file beside that rule would silently not count.",
        """
        # rules/base/example.yml
        params: {}
        """,
        """
        # rules/base/example.yaml
        params: {}
        """,
    ),
    Code(
        "duplicate-key",
        "error",
        "A key stands twice",
        "The later one would win and the earlier be forgotten, so neither is taken. Delete one. In a mapping, the field that is the "
        "key is set by `key` alone.",
        """
        title: Done
        title: The return is done
        """,
        """
        title: The return is done
        """,
    ),
    Code(
        "unknown-key",
        "error",
        "A key that means nothing here",
        "A misspelt key would silently do nothing, so every key is known or refused.",
        """
        titel: The return is done
        """,
        """
        title: The return is done
        """,
    ),
    Code(
        "missing-key",
        "error",
        "A key is missing",
        "What is described here is not whole without it.",
        """
        then:
          - forbid: returns.comment
        """,
        """
        then:
          - returns.comment: {rma: rma, text: Done}
        """,
    ),
    Code(
        "wrong-shape",
        "error",
        "A mapping, list, text, number or boolean of another kind was wanted",
        "What stands here has the wrong form. The usual reasons: a dash is missing before an entry of a list, or text that looks like a "
        "number, true or null is not quoted.",
        """
        title: 2026
        """,
        """
        title: "2026"
        """,
    ),
    Code(
        "empty-list",
        "error",
        "A list with nothing in it",
        "A rule without a condition would always hold, and one that does nothing is of no use: say what is meant.",
        """
        when: []
        """,
        """
        when: [rma.status == "done"]
        """,
    ),
    Code(
        "unknown-word",
        "error",
        "Not one of the words allowed here",
        "Only the listed words mean something here.",
        """
        mode: shaddow
        """,
        """
        mode: shadow
        """,
    ),
    Code(
        "bad-name",
        "error",
        "Not a usable name",
        "Names are used in expressions, files and logs, so they are plain words: lower-case letters, digits and _, first a letter. A "
        "word that already means something here cannot be used again.",
        """
        # rules/base/example.yaml
        facts:
          rma.due-at: rma.requested_at
        """,
        """
        # rules/base/example.yaml
        facts:
          rma.asked_at: rma.requested_at
        """,
    ),
    Code(
        "bad-value",
        "error",
        "A value that cannot be read",
        "The value is of the right kind but says nothing that can be understood, such as a time zone that does not exist or money "
        "without a currency.",
        """
        # rules/clients/acme/client.yaml
        client: acme
        time_zone: London
        """,
        """
        # rules/clients/acme/client.yaml
        client: acme
        time_zone: Europe/London
        """,
    ),
    Code(
        "bad-duration",
        "error",
        "Not a duration",
        "A duration is a whole number with a unit: 30m, 4h, 2d, 90s, or in ISO 8601 PT4H; of working time 5 working days or 4 working "
        "hours, which only add_working counts. A bare number could mean anything, and months and years have no fixed length.",
        """
        for: 4
        """,
        """
        for: 4h
        """,
    ),
    Code(
        "already-defined",
        "error",
        "Defined twice",
        "Each name means one thing in a rule set, and the order of files decides nothing. Rename one of the two; a client changes what "
        "a pack defines with `override: true`.",
        """
        # rules/base/example.yaml
        params:
          margin: {type: duration, default: 2h}
        """,
        """
        # rules/base/example.yaml
        params:
          wide_margin: {type: duration, default: 2h}
        """,
    ),
)
