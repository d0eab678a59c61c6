/* SPDX-License-Identifier: Apache-2.0 */
#include "graph.h"

void graph_load(struct graph *graph, enum milgi_role role)
{
    graph->n = milgi__hs_table(role, graph->row, GRAPH_ROWS);
    assert_true(graph->n <= GRAPH_ROWS);
}

const char *graph_message(int type)
{
    switch (type) {
    case 1: return "ClientHello";
    case 2: return "ServerHello";
    case 4: return "NewSessionTicket";
    case 8: return "EncryptedExtensions";
    case 11: return "Certificate";
    case 12: return "ServerKeyExchange";
    case 13: return "CertificateRequest";
    case 14: return "ServerHelloDone";
    case 15: return "CertificateVerify";
    case 16: return "ClientKeyExchange";
    case 20: return "Finished";
    case 22: return "CertificateStatus";
    case 255: return "[ChangeCipherSpec]";
    default: return "?";
    }
}

static void slots(FILE *out, uint32_t mask)
{
    const char *comma = "";
    for (unsigned slot = 0; slot < 32; slot++) {
        if ((mask >> slot & 1) == 0)
            continue;
        fprintf(out, "%s%s", comma, milgi__hs_slot_name(slot));
        comma = ", ";
    }
}

static void sends(FILE *out, const struct milgi__hs_row_info *row, const char *between)
{
    const char *comma = "";
    for (unsigned i = 0; i < 4 && row->sends[i] != 0; i++) {
        bool maybe = (row->sends_maybe >> i & 1) != 0;
        fprintf(out, maybe ? "%s(%s)" : "%s%s", comma, graph_message(row->sends[i]));
        comma = between;
    }
}

static const char *level(int l)
{
    static const char *const names[] = { "none", "early", "handshake", "application" };
    return names[l];
}

static void node(FILE *out, const struct milgi__hs_row_info *row)
{
    fprintf(out, "    %s[\"<b>%s</b>", row->name, row->name);
    if (row->needs != 0) {
        fputs("<br>needs ", out);
        slots(out, row->needs);
    }
    if (row->starts != 0) {
        fputs("<br>starts ", out);
        slots(out, row->starts);
    }
    if (row->sends[0] != 0) {
        fputs("<br>sends ", out);
        sends(out, row, ", ");
    }
    fputs("\"]\n", out);
}

static void picture(FILE *out, const struct graph *graph)
{
    fputs("```mermaid\nflowchart TD\n", out);
    for (size_t i = GRAPH_OPEN; i < graph->n; i++)
        node(out, &graph->row[i]);
    for (size_t i = GRAPH_START; i < graph->n; i++) {
        const struct milgi__hs_row_info *row = &graph->row[i];
        for (size_t to = GRAPH_OPEN; to < graph->n; to++) {
            if (!graph_leads(graph, i, to))
                continue;
            if ((int)to == row->otherwise)
                fprintf(out, "    %s -.->|none came| %s\n", row->name, graph->row[to].name);
            if (row->message >= 0)
                fprintf(out, "    %s -->|%s| %s\n", row->name, graph_message(row->message), graph->row[to].name);
            else
                fprintf(out, "    %s --> %s\n", row->name, graph->row[to].name);
        }
    }
    fputs("```\n\n", out);
}

static void table(FILE *out, const struct graph *graph)
{
    fputs("| step | awaits | needs | starts | sends | reads under | writes under |\n", out);
    fputs("|---|---|---|---|---|---|---|\n", out);
    for (size_t i = GRAPH_START; i < graph->n; i++) {
        const struct milgi__hs_row_info *row = &graph->row[i];
        fprintf(out, "| %s | %s%s | ", row->name, row->message >= 0 ? graph_message(row->message) : "",
            row->otherwise >= 0 ? ", or nothing" : row->peeks ? ", which it leaves"
                                                              : "");
        slots(out, row->needs);
        fputs(" | ", out);
        slots(out, row->starts);
        fputs(" | ", out);
        sends(out, row, ", ");
        fprintf(out, " | %s | %s |\n", level(row->read_level), level(row->write_level));
    }
}

char *graph_markdown(enum milgi_role role)
{
    struct graph graph;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    graph_load(&graph, role);
    picture(out, &graph);
    table(out, &graph);
    fclose(out);
    return text;
}
