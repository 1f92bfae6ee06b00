// Without this script both views of a body are shown one under the other; with it they are tabs.
"use strict";

function makeTabs(box) {
    const panels = Array.from(box.querySelectorAll("[data-dlq-tab]"));
    const list = document.createElement("div");
    list.className = "dlq-tablist";
    list.setAttribute("role", "tablist");
    const tabs = panels.map((panel) => {
        const heading = panel.firstElementChild;
        const tab = document.createElement("button");
        tab.type = "button";
        tab.className = "dlq-tab";
        tab.id = heading.id + "-tab";
        tab.textContent = heading.textContent;
        tab.setAttribute("role", "tab");
        panel.id = heading.id + "-panel";
        panel.setAttribute("role", "tabpanel");
        panel.setAttribute("aria-labelledby", tab.id);
        tab.setAttribute("aria-controls", panel.id);
        heading.hidden = true;
        list.append(tab);
        return tab;
    });
    const choose = (chosen) => {
        tabs.forEach((tab, place) => {
            tab.setAttribute("aria-selected", String(place === chosen));
            tab.tabIndex = place === chosen ? 0 : -1;
            panels[place].hidden = place !== chosen;
        });
    };
    const STEPS = {ArrowRight: 1, ArrowLeft: -1};
    tabs.forEach((tab, place) => {
        tab.addEventListener("click", () => choose(place));
        tab.addEventListener("keydown", (event) => {
            if (event.key in STEPS) {
                const next = (place + STEPS[event.key] + tabs.length) % tabs.length;
                choose(next);
                tabs[next].focus();
                event.preventDefault();
            }
        });
    });
    box.prepend(list);
    choose(0);
}

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-dlq-tabs]").forEach(makeTabs));
