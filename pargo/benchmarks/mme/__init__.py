"""MME: yes/no questions in pairs, scored by accuracy and by images with both answers right."""
